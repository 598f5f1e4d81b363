"""HTML report of a training: `content` holds its data, `sections` are its parts, `render` writes it as one file."""
