"""Whether compute buys detection: a model must spot the wrong solution among right ones."""
