"""From a source to the sinks: capture, inference, dispatcher; pace and latency."""
