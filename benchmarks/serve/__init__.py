"""What the server is worth under attack and under load: leak, overspend, tamper, hostile input, speed."""
