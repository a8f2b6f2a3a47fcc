"""Models travel: to an OCI registry and from it, and into stations that follow a tag."""
