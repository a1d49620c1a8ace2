"""Fits of hulls as real pilots make them, by slot or bay, in the catalogue's names.

An entry is `Module`, `3x Module` or `3x Module / Charge`, or `5x Thing` in a bay. Every module fits
its slot in the game, and every charge its module.
"""

SHIPS: dict[str, dict[str, str]] = {
    "Rifter": {
        "low": "Damage Control II, Small Armor Repairer II, Gyrostabilizer II, "
        "400mm Steel Plates II",
        "mid": "1MN Afterburner II, Warp Scrambler II, Stasis Webifier II",
        "high": "3x 200mm AutoCannon II / Hail S",
        "rig": "Small Projectile Burst Aerator I, 2x Small Auxiliary Nano Pump I",
    },
    "Kestrel": {
        "low": "Damage Control II, Ballistic Control System II",
        "mid": "5MN Microwarpdrive II, Warp Scrambler II, Stasis Webifier II, "
        "Medium Shield Extender II",
        "high": "4x Rocket Launcher II / Scourge Rage Rocket",
        "rig": "Small Core Defense Field Extender I, 2x Small EM Shield Reinforcer I",
    },
    "Tristan": {
        "low": "Damage Control II, Drone Damage Amplifier II, Small Armor Repairer II",
        "mid": "1MN Afterburner II, Warp Scrambler II, Stasis Webifier II",
        "high": "2x Small Energy Neutralizer II, Drone Link Augmentor I",
        "rig": "2x Small Auxiliary Nano Pump I, Small Hybrid Burst Aerator I",
        "drones": "5x Hobgoblin II, 3x Warrior II",
    },
    "Punisher": {
        "low": "Damage Control II, 400mm Steel Plates II, Small Armor Repairer II, "
        "Multispectrum Energized Membrane II, Heat Sink II",
        "mid": "1MN Afterburner II, Warp Scrambler II",
        "high": "3x Dual Light Pulse Laser II / Conflagration S, Small Energy Neutralizer II",
        "rig": "3x Small Trimark Armor Pump I",
    },
    "Catalyst": {
        "low": "3x Magnetic Field Stabilizer II",
        "mid": "Sensor Booster II / Scan Resolution Script, Warp Scrambler II",
        "high": "8x Light Neutron Blaster II / Void S",
        "rig": "2x Small Hybrid Burst Aerator I, Small Hybrid Collision Accelerator I",
    },
    "Sabre": {
        "low": "Damage Control II, Nanofiber Internal Structure II",
        "mid": "5MN Microwarpdrive II, 2x Medium Shield Extender II, Warp Disruptor II",
        "high": "7x 200mm AutoCannon II / Republic Fleet EMP S, "
        "Interdiction Sphere Launcher I / Warp Disrupt Probe",
        "rig": "2x Small Core Defense Field Extender II",
    },
    "Hound": {
        "low": "Damage Control II, Ballistic Control System II",
        "mid": "5MN Microwarpdrive II, Target Painter II, Medium Shield Extender II",
        "high": "3x Torpedo Launcher II / Caldari Navy Nova Torpedo, "
        "Bomb Launcher I / Shrapnel Bomb, Covert Ops Cloaking Device II",
        "rig": "2x Small Core Defense Field Extender II",
    },
    "Nemesis": {
        "low": "Damage Control II, Ballistic Control System II",
        "mid": "5MN Microwarpdrive II, Target Painter II, Warp Disruptor II, "
        "Remote Sensor Dampener II",
        "high": "3x Torpedo Launcher II / Caldari Navy Scourge Torpedo, "
        "Covert Ops Cloaking Device II",
        "rig": "2x Small Core Defense Field Extender II",
    },
    "Caracal": {
        "low": "Damage Control II, 3x Ballistic Control System II",
        "mid": "50MN Microwarpdrive II, 2x Large Shield Extender II, Warp Disruptor II, "
        "Multispectrum Shield Hardener II",
        "high": "5x Rapid Light Missile Launcher II / Caldari Navy Inferno Light Missile",
        "rig": "3x Medium Core Defense Field Extender I",
        "drones": "2x Warrior II",
    },
    "Vexor": {
        "low": "Damage Control II, 2x Drone Damage Amplifier II, Medium Armor Repairer II, "
        "1600mm Steel Plates II",
        "mid": "50MN Microwarpdrive II, Warp Scrambler II, Stasis Webifier II, "
        "Medium Capacitor Booster II / Navy Cap Booster 400",
        "high": "4x Heavy Ion Blaster II / Void M",
        "rig": "3x Medium Trimark Armor Pump I",
        "drones": "5x Hammerhead II, 5x Hobgoblin II",
    },
    "Thorax": {
        "low": "Damage Control II, 1600mm Steel Plates II, 2x Magnetic Field Stabilizer II, "
        "Multispectrum Energized Membrane II",
        "mid": "50MN Microwarpdrive II, Warp Scrambler II, Stasis Webifier II, "
        "Tracking Computer II / Tracking Speed Script",
        "high": "5x Heavy Ion Blaster II / Void M",
        "rig": "3x Medium Trimark Armor Pump I",
        "drones": "5x Hobgoblin II",
    },
    "Rupture": {
        "low": "Damage Control II, 1600mm Steel Plates II, 2x Gyrostabilizer II, "
        "Multispectrum Energized Membrane II",
        "mid": "50MN Microwarpdrive II, Warp Scrambler II, Stasis Webifier II",
        "high": "4x 425mm AutoCannon II / Hail M, Medium Energy Neutralizer II",
        "rig": "3x Medium Trimark Armor Pump I",
        "drones": "5x Warrior II",
    },
    "Gila": {
        "low": "Damage Control II, 2x Drone Damage Amplifier II",
        "mid": "50MN Microwarpdrive II, 3x Large Shield Extender II, Warp Disruptor II, "
        "Multispectrum Shield Hardener II",
        "high": "4x Rapid Light Missile Launcher II / Caldari Navy Inferno Light Missile, "
        "Drone Link Augmentor I",
        "rig": "3x Medium Core Defense Field Extender II",
        "drones": "4x Hammerhead II, 6x Hobgoblin II",
    },
    "Vagabond": {
        "low": "Damage Control II, 2x Gyrostabilizer II, 2x Nanofiber Internal Structure II",
        "mid": "50MN Microwarpdrive II, Large Shield Extender II, Warp Disruptor II, "
        "Multispectrum Shield Hardener II",
        "high": "5x 425mm AutoCannon II / Barrage M, Medium Energy Neutralizer II",
        "rig": "2x Medium Core Defense Field Extender II",
        "drones": "5x Warrior II",
    },
    "Ishtar": {
        "low": "Damage Control II, 3x Drone Damage Amplifier II, Nanofiber Internal Structure II",
        "mid": "50MN Microwarpdrive II, Large Shield Extender II, "
        "Multispectrum Shield Hardener II, Omnidirectional Tracking Link II",
        "high": "3x Drone Link Augmentor I",
        "rig": "2x Medium Core Defense Field Extender II",
        "drones": "5x Ogre II, 5x Hammerhead II, 5x Hobgoblin II",
    },
    "Muninn": {
        "low": "Damage Control II, 3x Ballistic Control System II, Tracking Enhancer II, "
        "Nanofiber Internal Structure II",
        "mid": "50MN Microwarpdrive II, 2x Large Shield Extender II",
        "high": "5x Heavy Assault Missile Launcher II / Caldari Navy Scourge Heavy Assault Missile",
        "rig": "2x Medium Core Defense Field Extender II",
        "drones": "5x Warrior II",
    },
    "Tengu": {
        "low": "3x Ballistic Control System II, Damage Control II",
        "mid": "50MN Microwarpdrive II, 2x Large Shield Extender II, "
        "2x Multispectrum Shield Hardener II, Target Painter II",
        "high": "5x Heavy Missile Launcher II / Caldari Navy Scourge Heavy Missile, "
        "Covert Ops Cloaking Device II",
        "rig": "3x Medium Core Defense Field Extender II",
        "subsystem": "Tengu Core - Augmented Graviton Reactor, "
        "Tengu Defensive - Supplemental Screening, Tengu Offensive - Accelerated Ejection Bay, "
        "Tengu Propulsion - Fuel Catalyst",
    },
    "Loki": {
        "low": "Damage Control II, 3x Gyrostabilizer II",
        "mid": "50MN Microwarpdrive II, 2x Large Shield Extender II, Warp Disruptor II, "
        "Stasis Webifier II",
        "high": "4x 720mm Howitzer Artillery II / Republic Fleet EMP M, "
        "Covert Ops Cloaking Device II",
        "rig": "3x Medium Core Defense Field Extender II",
        "subsystem": "Loki Core - Immobility Drivers, Loki Defensive - Covert Reconfiguration, "
        "Loki Offensive - Projectile Scoping Array, Loki Propulsion - Intercalated Nanofibers",
    },
    "Ferox": {
        "low": "Damage Control II, 2x Magnetic Field Stabilizer II, Tracking Enhancer II",
        "mid": "50MN Microwarpdrive II, 2x Large Shield Extender II, "
        "2x Multispectrum Shield Hardener II",
        "high": "6x 250mm Railgun II / Spike M",
        "rig": "3x Medium Core Defense Field Extender I",
        "drones": "5x Hobgoblin II",
    },
    "Cyclone": {
        "low": "Damage Control II, 2x Ballistic Control System II, Reactor Control Unit II",
        "mid": "50MN Microwarpdrive II, 2x Large Shield Extender II, Warp Scrambler II, "
        "Multispectrum Shield Hardener II",
        "high": "5x Heavy Missile Launcher II / Caldari Navy Scourge Heavy Missile, "
        "Medium Energy Neutralizer II",
        "rig": "3x Medium Core Defense Field Extender I",
        "drones": "5x Hammerhead II",
    },
    "Harbinger": {
        "low": "Damage Control II, 2x 1600mm Steel Plates II, "
        "2x Multispectrum Energized Membrane II, Heat Sink II",
        "mid": "50MN Microwarpdrive II, Warp Scrambler II, Stasis Webifier II, "
        "Medium Capacitor Booster II / Navy Cap Booster 400",
        "high": "6x Heavy Pulse Laser II / Scorch M",
        "rig": "3x Medium Trimark Armor Pump I",
        "drones": "5x Hammerhead II",
    },
    "Drake": {
        "low": "Damage Control II, 3x Ballistic Control System II",
        "mid": "50MN Microwarpdrive II, 2x Large Shield Extender II, Warp Disruptor II, "
        "2x Multispectrum Shield Hardener II",
        "high": "6x Heavy Missile Launcher II / Caldari Navy Scourge Heavy Missile",
        "rig": "3x Medium Core Defense Field Extender I",
        "drones": "5x Hobgoblin II",
    },
    "Hurricane": {
        "low": "Damage Control II, 3x Gyrostabilizer II, 2x Tracking Enhancer II",
        "mid": "50MN Microwarpdrive II, 2x Large Shield Extender II, Warp Disruptor II",
        "high": "6x 425mm AutoCannon II / Hail M, Medium Energy Neutralizer II",
        "rig": "3x Medium Core Defense Field Extender I",
        "drones": "5x Hammerhead II",
    },
    "Raven": {
        "escape_bay": "Kestrel",
        "low": "Damage Control II, 3x Ballistic Control System II, Reactor Control Unit II",
        "mid": "100MN Afterburner II, 2x Large Shield Extender II, Target Painter II, "
        "2x Multispectrum Shield Hardener II, Large Shield Booster II",
        "high": "6x Cruise Missile Launcher II / Caldari Navy Scourge Cruise Missile, "
        "Drone Link Augmentor I",
        "rig": "3x Large Core Defense Field Extender I",
        "drones": "5x Hammerhead II, 5x Hobgoblin II",
    },
    "Tempest": {
        "low": "Damage Control II, 1600mm Steel Plates II, 3x Gyrostabilizer II, "
        "Multispectrum Energized Membrane II",
        "mid": "500MN Microwarpdrive II, Warp Disruptor II, Stasis Webifier II, "
        "Tracking Computer II / Tracking Speed Script, Sensor Booster II",
        "high": "6x 1400mm Howitzer Artillery II / Republic Fleet EMP L, "
        "2x Heavy Energy Neutralizer II",
        "rig": "3x Large Trimark Armor Pump I",
        "drones": "5x Hammerhead II",
    },
    "Megathron": {
        "escape_bay": "Tristan",
        "low": "Damage Control II, 2x 1600mm Steel Plates II, 3x Magnetic Field Stabilizer II, "
        "2x Multispectrum Energized Membrane II",
        "mid": "500MN Microwarpdrive II, Warp Scrambler II, Stasis Webifier II, "
        "Heavy Capacitor Booster II / Navy Cap Booster 800",
        "high": "7x Neutron Blaster Cannon II / Void L",
        "rig": "3x Large Trimark Armor Pump I",
        "drones": "5x Hammerhead II, 5x Hobgoblin II",
    },
    "Dominix": {
        "low": "Damage Control II, 3x Drone Damage Amplifier II, 2x Large Armor Repairer II, "
        "Multispectrum Energized Membrane II",
        "mid": "100MN Afterburner II, 2x Omnidirectional Tracking Link II, "
        "Heavy Capacitor Booster II / Navy Cap Booster 800, Stasis Webifier II",
        "high": "4x Drone Link Augmentor I, 2x Heavy Energy Neutralizer II",
        "rig": "3x Large Auxiliary Nano Pump I",
        "drones": "5x Ogre II, 5x Hammerhead II, 5x Garde II",
    },
    "Machariel": {
        "low": "Damage Control II, 3x Gyrostabilizer II, Tracking Enhancer II, "
        "Nanofiber Internal Structure II",
        "mid": "500MN Microwarpdrive II, 2x Large Shield Extender II, Warp Disruptor II, "
        "Multispectrum Shield Hardener II",
        "high": "7x 800mm Repeating Cannon II / Hail L, Heavy Energy Neutralizer II",
        "rig": "3x Large Core Defense Field Extender II",
        "drones": "5x Hammerhead II, 5x Warrior II",
    },
    "Venture": {
        "ore_hold": "4200x Compressed Veldspar",
        "low": "Mining Laser Upgrade II",
        "mid": "1MN Afterburner II, 2x Medium Shield Extender II",
        "high": "2x Miner II, Small Energy Neutralizer II",
        "rig": "3x Small Core Defense Field Extender I",
        "drones": "2x Hobgoblin II",
    },
    "Procurer": {
        "ore_hold": "11800x Veldspar, 2400x Scordite",
        "low": "Damage Control II, Mining Laser Upgrade II",
        "mid": "Large Shield Extender II, 2x Multispectrum Shield Hardener II",
        "high": "2x Modulated Strip Miner II / Simple Asteroid Mining Crystal Type A II",
        "rig": "3x Medium Core Defense Field Extender I",
        "drones": "5x Hobgoblin II, 5x Warrior II",
    },
    "Retriever": {
        "ore_hold": "23400x Veldspar, 5100x Plagioclase",
        "low": "2x Mining Laser Upgrade II, Damage Control II",
        "mid": "Medium Shield Extender II",
        "high": "2x Modulated Strip Miner II / Simple Asteroid Mining Crystal Type A II",
        "rig": "3x Medium Core Defense Field Extender I",
        "drones": "5x Hobgoblin II",
    },
    "Badger": {
        "low": "2x Expanded Cargohold II",
        "mid": "Large Shield Extender II, 2x Multispectrum Shield Hardener II, 10MN Afterburner II",
        "high": "Small Energy Neutralizer II",
        "rig": "3x Medium Cargohold Optimization I",
    },
    "Charon": {
        "low": "3x Expanded Cargohold II",
    },
    "Rorqual": {
        "ore_hold": "18200x Compressed Veldspar, 9400x Compressed Scordite",
        "ship_hangar": "Venture, Procurer",
        "fleet_hangar": "25000x Liquid Ozone, 4200x Heavy Water, 60x Nanite Repair Paste, "
        "Capital Capacitor Booster II",
        "low": "Damage Control II, 2x Drone Damage Amplifier II",
        "mid": "2x Capital Shield Booster II, 2x Multispectrum Shield Hardener II, "
        "Capital Capacitor Booster II / Navy Cap Booster 3200",
        "high": "Capital Industrial Core II, Drone Link Augmentor I, "
        "Mining Foreman Burst II / Mining Laser Field Enhancement Charge",
        "rig": "3x Capital Core Defense Field Extender I",
        "drones": "5x Ogre II, 5x Hammerhead II, 5x 'Excavator' Mining Drone",
    },
    "Thanatos": {
        "fuel_bay": "11500x Oxygen Isotopes",
        "ship_hangar": "Ishtar, Sabre",
        "fleet_hangar": "300x Nanite Repair Paste, 24x Navy Cap Booster 3200, "
        "40x Warp Disrupt Probe",
        "fighter_bay": "12x Firbolg II, 9x Templar I, 9x Dromi I",
        "low": "Damage Control II, Capital Armor Repairer II, "
        "2x Multispectrum Energized Membrane II",
        "mid": "2x Omnidirectional Tracking Link II, Sensor Booster II, "
        "Capital Capacitor Booster II / Navy Cap Booster 3200",
        "high": "Networked Sensor Array, 2x Fighter Support Unit II, Heavy Energy Neutralizer II",
        "rig": "3x Capital Auxiliary Nano Pump I",
        "tubes": "9x Firbolg II, 9x Templar I, 9x Dromi I",
    },
    "Ibis": {
        "high": "Civilian Gatling Railgun, Civilian Miner",
    },
    "Caldari Shuttle": {},
}
