"""The server's page: for those who ask, who audit and who operate, in a browser."""
