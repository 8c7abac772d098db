"""The reviewer console: HTTP lives here, and no SQL."""
