"""HTML report of a training: `content` is what it shows, `sections` are its parts, `render` writes it as one file."""
