"""What the game itself names: types, systems, NPC corporations, factions.

The data are CCP's, not ours: `LICENSE-game-data.md` stands beside them.
"""
