"""mcuprune: neural networks that provably fit a microcontroller."""
