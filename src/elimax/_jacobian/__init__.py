"""From a function to its sparse derivative: few products, and the entries that are read off them."""
