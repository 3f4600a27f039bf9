"""A page that translates with a model and shows where it looks, on this machine or as a Space on the Hub."""
