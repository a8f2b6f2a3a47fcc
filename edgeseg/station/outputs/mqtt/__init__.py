"""MQTT 5: verdicts, a retained status with a last will, discovery, and commands with answers."""
