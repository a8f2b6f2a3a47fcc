"""From a source to the sinks: capture, ring, inference, dispatcher and latency."""
