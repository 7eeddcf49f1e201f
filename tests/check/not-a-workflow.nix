{ ... }: "just a text"
