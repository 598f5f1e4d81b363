"""General file tools: archives, folders, checksums, packing, text templates."""
