"""What is kept on the disk: studies, the queue, and how long."""
