"""The nouns of Earshot: frozen, slotted records with their units in their names, and no behaviour beyond invariants."""
