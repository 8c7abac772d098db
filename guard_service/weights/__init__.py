"""The files of a model: fetched, known by their digests, refused where they would be wrong."""
