"""Features of millions of photos, in chunks: on this machine or on Apache Spark, with the same result."""
