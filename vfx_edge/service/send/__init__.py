"""What is sent on: C-STORE and STOW-RS, as often as it takes."""
