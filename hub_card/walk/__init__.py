"""The walk: one page that follows a sentence through a model, from text to translation, with every number real."""
