from mcuprune.cli import main

main()
