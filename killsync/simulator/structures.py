"""Fits of structures as corporations make them, in the form of `hulls`."""

STRUCTURES: dict[str, dict[str, str]] = {
    "Raitaru": {
        "mid": "Standup Target Painter II, Standup Stasis Webifier II",
        "high": "Standup Multirole Missile Launcher II / Standup Cruise Missile",
        "rig": "Standup M-Set Equipment Manufacturing Time Efficiency I",
        "service": "Standup Manufacturing Plant I, Standup Research Lab I",
        "structure_fuel": "2880x Nitrogen Fuel Block",
    },
    "Azbel": {
        "low": "Standup Layered Armor Plating II",
        "mid": "Standup Target Painter II, Standup Stasis Webifier II, "
        "Standup Variable Spectrum ECM II",
        "high": "2x Standup Multirole Missile Launcher II / Standup Cruise Missile",
        "rig": "Standup L-Set Equipment Manufacturing Efficiency I",
        "service": "Standup Manufacturing Plant I, Standup Research Lab I, Standup Invention Lab I",
        "fighter_bay": "12x Standup Firbolg II",
        "structure_fuel": "5400x Nitrogen Fuel Block",
    },
    "Astrahus": {
        "low": "Standup Layered Armor Plating II, Standup Missile Guidance Enhancer II",
        "mid": "Standup Target Painter II, Standup Stasis Webifier II, "
        "Standup Variable Spectrum ECM II",
        "high": "Standup Guided Bomb Launcher II / Standup Heavy Guided Bomb, "
        "Standup Multirole Missile Launcher II / Standup Cruise Missile, "
        "Standup Heavy Energy Neutralizer II",
        "rig": "Standup M-Set Energy Neutralizer Economy I",
        "service": "Standup Cloning Center I",
        "fighter_bay": "9x Standup Templar II, 9x Standup Firbolg II",
        "structure_fuel": "1440x Nitrogen Fuel Block",
    },
    "Fortizar": {
        "low": "2x Standup Layered Armor Plating II, Standup Ballistic Control System II",
        "mid": "Standup Target Painter II, 2x Standup Stasis Webifier II, "
        "Standup Variable Spectrum ECM II",
        "high": "Standup Guided Bomb Launcher II / Standup Heavy Guided Bomb, "
        "Standup Multirole Missile Launcher II / Standup Cruise Missile, "
        "Standup Anticapital Missile Launcher II / Standup XL Cruise Missile, "
        "Standup Heavy Energy Neutralizer II, Standup Point Defense Battery II",
        "rig": "Standup L-Set Energy Neutralizer Feedback Control I",
        "service": "Standup Cloning Center I, Standup Market Hub I, "
        "Standup Reprocessing Facility I",
        "tubes": "9x Standup Einherji II, 9x Standup Templar II",
        "fighter_bay": "18x Standup Firbolg II, 9x Standup Einherji II",
        "structure_fuel": "7200x Nitrogen Fuel Block",
    },
    "Keepstar": {
        "low": "3x Standup Layered Armor Plating II, 2x Standup Ballistic Control System II",
        "mid": "2x Standup Target Painter II, 2x Standup Stasis Webifier II, "
        "Standup Variable Spectrum ECM II, Standup Warp Disruption Burst Projector",
        "high": "Standup Arcing Vorton Projector I, "
        "2x Standup Anticapital Missile Launcher II / Standup XL Cruise Missile, "
        "2x Standup Multirole Missile Launcher II / Standup Cruise Missile, "
        "Standup Point Defense Battery II, 2x Standup XL Energy Neutralizer II",
        "rig": "Standup XL-Set Equipment and Consumable Manufacturing Efficiency I, "
        "Standup XL-Set Ship Manufacturing Efficiency I, Standup XL-Set Reprocessing Monitor II",
        "service": "Standup Cloning Center I, Standup Market Hub I, "
        "Standup Reprocessing Facility I, Standup Capital Shipyard I",
        "tubes": "9x Standup Einherji II, 9x Standup Einherji II, 9x Standup Templar II",
        "fighter_bay": "36x Standup Firbolg II, 27x Standup Einherji II",
        "structure_fuel": "26400x Nitrogen Fuel Block",
    },
    "Athanor": {
        "low": "Standup Layered Armor Plating II",
        "mid": "Standup Stasis Webifier II",
        "high": "Standup Multirole Missile Launcher II / Standup Cruise Missile",
        "rig": "Standup M-Set Moon Drilling Stability I, "
        "Standup M-Set Moon Ore Grading Processor I",
        "service": "Standup Moon Drill I, Standup Reprocessing Facility I",
        "structure_fuel": "2160x Nitrogen Fuel Block",
    },
    "Tatara": {
        "low": "2x Standup Layered Armor Plating II",
        "mid": "Standup Target Painter II, Standup Stasis Webifier II",
        "high": "2x Standup Multirole Missile Launcher II / Standup Cruise Missile",
        "rig": "Standup L-Set Reprocessing Monitor II, Standup L-Set Moon Drilling Proficiency I",
        "service": "Standup Moon Drill I, Standup Reprocessing Facility I, "
        "Standup Biochemical Reactor I",
        "tubes": "9x Standup Templar II",
        "fighter_bay": "9x Standup Firbolg II",
        "structure_fuel": "4800x Nitrogen Fuel Block",
    },
}
