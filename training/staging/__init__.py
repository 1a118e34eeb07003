"""Turn pictures of any source into the staged folder and its copy in S3."""
