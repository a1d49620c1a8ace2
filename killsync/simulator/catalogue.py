"""Types of the game by their real ids, each with its name and a price in ISK.

Names and ids are those of CCP's static data; the prices are such as the market may show. A price of
0 stands for what is not traded.
"""

from typing import NamedTuple


class Article(NamedTuple):
    """A type's name, and what one unit costs in ISK before the day's movement; 0: not traded."""

    name: str
    price: float


def _articles(table: dict[int, tuple[str, float]]) -> dict[int, Article]:
    return {type_id: Article(*article) for type_id, article in table.items()}


SHIPS = _articles({
    587: ("Rifter", 600_000), 602: ("Kestrel", 550_000), 593: ("Tristan", 620_000),
    597: ("Punisher", 580_000), 16240: ("Catalyst", 1_600_000), 22456: ("Sabre", 62_000_000),
    12034: ("Hound", 34_000_000), 11377: ("Nemesis", 33_000_000), 621: ("Caracal", 14_000_000),
    626: ("Vexor", 13_000_000), 627: ("Thorax", 13_500_000), 629: ("Rupture", 12_500_000),
    17715: ("Gila", 190_000_000), 11999: ("Vagabond", 215_000_000), 12005: ("Ishtar", 235_000_000),
    12015: ("Muninn", 205_000_000), 29984: ("Tengu", 180_000_000), 29990: ("Loki", 195_000_000),
    16227: ("Ferox", 58_000_000), 16231: ("Cyclone", 52_000_000), 24696: ("Harbinger", 64_000_000),
    24698: ("Drake", 61_000_000), 24702: ("Hurricane", 66_000_000), 638: ("Raven", 215_000_000),
    639: ("Tempest", 205_000_000), 641: ("Megathron", 220_000_000), 645: ("Dominix", 210_000_000),
    17738: ("Machariel", 440_000_000), 32880: ("Venture", 450_000),
    17480: ("Procurer", 29_000_000), 17478: ("Retriever", 38_000_000), 648: ("Badger", 1_100_000),
    20185: ("Charon", 1_550_000_000), 28352: ("Rorqual", 3_400_000_000),
    23911: ("Thanatos", 1_450_000_000), 601: ("Ibis", 6_000), 672: ("Caldari Shuttle", 22_000),
    670: ("Capsule", 0), 33328: ("Capsule - Genolution 'Auroral' 197-variant", 0),
})  # fmt: skip
STRUCTURES = _articles({
    35825: ("Raitaru", 620_000_000), 35826: ("Azbel", 4_600_000_000),
    35832: ("Astrahus", 1_050_000_000), 35833: ("Fortizar", 11_500_000_000),
    35834: ("Keepstar", 170_000_000_000), 35835: ("Athanor", 640_000_000),
    35836: ("Tatara", 7_200_000_000),
})  # fmt: skip
DEPLOYABLES = _articles({
    33475: ("Mobile Tractor Unit", 9_500_000), 33474: ("Mobile Depot", 1_200_000),
    2233: ("Customs Office", 0),
})  # fmt: skip
MODULES = _articles({
    2048: ("Damage Control II", 1_350_000), 1183: ("Small Armor Repairer II", 620_000),
    519: ("Gyrostabilizer II", 1_350_000), 20349: ("400mm Steel Plates II", 620_000),
    438: ("1MN Afterburner II", 620_000), 448: ("Warp Scrambler II", 1_350_000),
    527: ("Stasis Webifier II", 1_350_000), 2889: ("200mm AutoCannon II", 620_000),
    31668: ("Small Projectile Burst Aerator I", 310_000),
    31045: ("Small Auxiliary Nano Pump I", 310_000),
    22291: ("Ballistic Control System II", 1_350_000), 440: ("5MN Microwarpdrive II", 620_000),
    3831: ("Medium Shield Extender II", 1_350_000), 10631: ("Rocket Launcher II", 620_000),
    31788: ("Small Core Defense Field Extender I", 310_000),
    31716: ("Small EM Shield Reinforcer I", 310_000),
    4405: ("Drone Damage Amplifier II", 1_350_000),
    13003: ("Small Energy Neutralizer II", 620_000), 23527: ("Drone Link Augmentor I", 1_350_000),
    31526: ("Small Hybrid Burst Aerator I", 310_000),
    11269: ("Multispectrum Energized Membrane II", 1_350_000), 2364: ("Heat Sink II", 1_350_000),
    3001: ("Dual Light Pulse Laser II", 620_000), 30987: ("Small Trimark Armor Pump I", 310_000),
    10190: ("Magnetic Field Stabilizer II", 1_350_000), 1952: ("Sensor Booster II", 1_350_000),
    3178: ("Light Neutron Blaster II", 620_000),
    31538: ("Small Hybrid Collision Accelerator I", 310_000),
    2605: ("Nanofiber Internal Structure II", 1_350_000), 3244: ("Warp Disruptor II", 1_350_000),
    22782: ("Interdiction Sphere Launcher I", 1_350_000),
    31794: ("Small Core Defense Field Extender II", 2_790_000),
    19806: ("Target Painter II", 1_350_000), 2420: ("Torpedo Launcher II", 3_100_000),
    27914: ("Bomb Launcher I", 1_350_000), 11578: ("Covert Ops Cloaking Device II", 1_350_000),
    1969: ("Remote Sensor Dampener II", 1_350_000), 12076: ("50MN Microwarpdrive II", 1_350_000),
    3841: ("Large Shield Extender II", 3_100_000),
    2281: ("Multispectrum Shield Hardener II", 1_350_000),
    1877: ("Rapid Light Missile Launcher II", 1_350_000),
    31790: ("Medium Core Defense Field Extender I", 2_200_000),
    3530: ("Medium Armor Repairer II", 1_350_000), 20353: ("1600mm Steel Plates II", 3_100_000),
    2024: ("Medium Capacitor Booster II", 1_350_000), 3138: ("Heavy Ion Blaster II", 3_100_000),
    31055: ("Medium Trimark Armor Pump I", 2_200_000), 1978: ("Tracking Computer II", 1_350_000),
    2913: ("425mm AutoCannon II", 1_350_000), 12267: ("Medium Energy Neutralizer II", 1_350_000),
    31796: ("Medium Core Defense Field Extender II", 19_800_000),
    24438: ("Omnidirectional Tracking Link II", 1_350_000),
    1999: ("Tracking Enhancer II", 1_350_000),
    25715: ("Heavy Assault Missile Launcher II", 3_100_000),
    2410: ("Heavy Missile Launcher II", 3_100_000),
    2969: ("720mm Howitzer Artillery II", 1_350_000), 3082: ("250mm Railgun II", 1_350_000),
    1355: ("Reactor Control Unit II", 1_350_000), 3520: ("Heavy Pulse Laser II", 3_100_000),
    12068: ("100MN Afterburner II", 3_100_000), 10858: ("Large Shield Booster II", 3_100_000),
    19739: ("Cruise Missile Launcher II", 3_100_000),
    26088: ("Large Core Defense Field Extender I", 7_400_000),
    12084: ("500MN Microwarpdrive II", 3_100_000),
    2961: ("1400mm Howitzer Artillery II", 3_100_000),
    12271: ("Heavy Energy Neutralizer II", 3_100_000),
    25894: ("Large Trimark Armor Pump I", 7_400_000),
    3578: ("Heavy Capacitor Booster II", 3_100_000),
    3186: ("Neutron Blaster Cannon II", 3_100_000), 3540: ("Large Armor Repairer II", 3_100_000),
    25896: ("Large Auxiliary Nano Pump I", 7_400_000),
    2929: ("800mm Repeating Cannon II", 3_100_000),
    26448: ("Large Core Defense Field Extender II", 66_600_000),
    28576: ("Mining Laser Upgrade II", 1_350_000), 482: ("Miner II", 1_350_000),
    17912: ("Modulated Strip Miner II", 3_100_000), 1319: ("Expanded Cargohold II", 1_350_000),
    12058: ("10MN Afterburner II", 1_350_000),
    31119: ("Medium Cargohold Optimization I", 2_200_000),
    41493: ("Capital Capacitor Booster II", 115_000_000),
    41507: ("Capital Shield Booster II", 115_000_000),
    42890: ("Capital Industrial Core II", 240_000_000),
    43551: ("Mining Foreman Burst II", 1_350_000),
    31792: ("Capital Core Defense Field Extender I", 120_000_000),
    41500: ("Capital Armor Repairer II", 115_000_000),
    41411: ("Networked Sensor Array", 1_350_000), 41415: ("Fighter Support Unit II", 1_350_000),
    27064: ("Capital Auxiliary Nano Pump I", 120_000_000),
    3638: ("Civilian Gatling Railgun", 3_000), 3651: ("Civilian Miner", 3_000),
    47366: ("Standup Target Painter II", 62_000_000),
    47351: ("Standup Stasis Webifier II", 62_000_000),
    47298: ("Standup Multirole Missile Launcher II", 62_000_000),
    37160: ("Standup M-Set Equipment Manufacturing Time Efficiency I", 240_000_000),
    35878: ("Standup Manufacturing Plant I", 620_000_000),
    35891: ("Standup Research Lab I", 620_000_000),
    47362: ("Standup Layered Armor Plating II", 62_000_000),
    47338: ("Standup Variable Spectrum ECM II", 62_000_000),
    37170: ("Standup L-Set Equipment Manufacturing Efficiency I", 1_900_000_000),
    35886: ("Standup Invention Lab I", 620_000_000),
    47340: ("Standup Missile Guidance Enhancer II", 62_000_000),
    47325: ("Standup Guided Bomb Launcher II", 62_000_000),
    47332: ("Standup Heavy Energy Neutralizer II", 62_000_000),
    37222: ("Standup M-Set Energy Neutralizer Economy I", 240_000_000),
    35894: ("Standup Cloning Center I", 620_000_000),
    47342: ("Standup Ballistic Control System II", 62_000_000),
    47323: ("Standup Anticapital Missile Launcher II", 1_300_000_000),
    47327: ("Standup Point Defense Battery II", 62_000_000),
    37250: ("Standup L-Set Energy Neutralizer Feedback Control I", 1_900_000_000),
    35892: ("Standup Market Hub I", 620_000_000),
    35899: ("Standup Reprocessing Facility I", 620_000_000),
    47073: ("Standup Warp Disruption Burst Projector", 62_000_000),
    35928: ("Standup Arcing Vorton Projector I", 1_300_000_000),
    47330: ("Standup XL Energy Neutralizer II", 1_300_000_000),
    37178: ("Standup XL-Set Equipment and Consumable Manufacturing Efficiency I", 21_000_000_000),
    37180: ("Standup XL-Set Ship Manufacturing Efficiency I", 21_000_000_000),
    46642: ("Standup XL-Set Reprocessing Monitor II", 63_000_000_000),
    35881: ("Standup Capital Shipyard I", 620_000_000),
    46325: ("Standup M-Set Moon Drilling Stability I", 240_000_000),
    46637: ("Standup M-Set Moon Ore Grading Processor I", 240_000_000),
    45009: ("Standup Moon Drill I", 620_000_000),
    46640: ("Standup L-Set Reprocessing Monitor II", 5_700_000_000),
    46327: ("Standup L-Set Moon Drilling Proficiency I", 1_900_000_000),
    45539: ("Standup Biochemical Reactor I", 620_000_000),
})  # fmt: skip
SUBSYSTEMS = _articles({
    45626: ("Tengu Core - Augmented Graviton Reactor", 24_000_000),
    45590: ("Tengu Defensive - Supplemental Screening", 24_000_000),
    45601: ("Tengu Offensive - Accelerated Ejection Bay", 24_000_000),
    45615: ("Tengu Propulsion - Fuel Catalyst", 24_000_000),
    45633: ("Loki Core - Immobility Drivers", 24_000_000),
    45595: ("Loki Defensive - Covert Reconfiguration", 24_000_000),
    45607: ("Loki Offensive - Projectile Scoping Array", 24_000_000),
    45620: ("Loki Propulsion - Intercalated Nanofibers", 24_000_000),
})  # fmt: skip
CHARGES = _articles({
    12608: ("Hail S", 68), 24471: ("Scourge Rage Rocket", 140),
    12565: ("Conflagration S", 310_000), 29011: ("Scan Resolution Script", 46_000),
    12612: ("Void S", 68), 21898: ("Republic Fleet EMP S", 700),
    22778: ("Warp Disrupt Probe", 24_000), 27359: ("Caldari Navy Nova Torpedo", 700),
    27918: ("Shrapnel Bomb", 115_000), 27345: ("Caldari Navy Scourge Torpedo", 700),
    27371: ("Caldari Navy Inferno Light Missile", 480), 32006: ("Navy Cap Booster 400", 19_000),
    12789: ("Void M", 190), 29001: ("Tracking Speed Script", 46_000), 12777: ("Hail M", 190),
    12773: ("Barrage M", 190), 27413: ("Caldari Navy Scourge Heavy Assault Missile", 700),
    27441: ("Caldari Navy Scourge Heavy Missile", 900), 21896: ("Republic Fleet EMP M", 700),
    12805: ("Spike M", 190), 12818: ("Scorch M", 310_000),
    27395: ("Caldari Navy Scourge Cruise Missile", 700), 21894: ("Republic Fleet EMP L", 700),
    32014: ("Navy Cap Booster 800", 41_000), 12791: ("Void L", 520), 12779: ("Hail L", 520),
    60281: ("Simple Asteroid Mining Crystal Type A II", 2_100_000),
    28668: ("Nanite Repair Paste", 34_000), 41490: ("Navy Cap Booster 3200", 160_000),
    42829: ("Mining Laser Field Enhancement Charge", 950),
    37846: ("Standup Cruise Missile", 210_000), 37849: ("Standup Heavy Guided Bomb", 210_000),
    37844: ("Standup XL Cruise Missile", 210_000),
})  # fmt: skip
DRONES = _articles({
    2456: ("Hobgoblin II", 460_000), 2488: ("Warrior II", 480_000),
    2185: ("Hammerhead II", 980_000), 2446: ("Ogre II", 1_700_000), 28211: ("Garde II", 1_900_000),
    41030: ("'Excavator' Mining Drone", 720_000_000), 40558: ("Firbolg II", 15_000_000),
    23055: ("Templar I", 15_000_000), 40347: ("Dromi I", 15_000_000),
    47143: ("Standup Firbolg II", 46_000_000), 47141: ("Standup Templar II", 46_000_000),
    47144: ("Standup Einherji II", 46_000_000),
})  # fmt: skip
CARGO = _articles({
    34: ("Tritanium", 4.1), 35: ("Pyerite", 22), 36: ("Mexallon", 96), 37: ("Isogen", 130),
    38: ("Nocxium", 870), 39: ("Zydrine", 1_150), 40: ("Megacyte", 2_900),
    44992: ("PLEX", 5_200_000), 16273: ("Liquid Ozone", 180), 16272: ("Heavy Water", 95),
    17887: ("Oxygen Isotopes", 640), 4051: ("Nitrogen Fuel Block", 17_500), 1230: ("Veldspar", 17),
    1228: ("Scordite", 31), 18: ("Plagioclase", 78), 62516: ("Compressed Veldspar", 18),
    62520: ("Compressed Scordite", 33), 16275: ("Strontium Clathrates", 2_100),
    40520: ("Large Skill Injector", 830_000_000), 62568: ("Compressed Arkonor", 4_200),
    30259: ("Melted Nanoribbons", 5_900_000), 30747: ("Sleeper Drone AI Nexus", 5_100_000),
    34575: ("Antikythera Element", 3_400_000), 4358: ("Exotic Dancers, Male", 45_000),
    3699: ("Quafe", 900), 9848: ("Robotics", 71_000), 3689: ("Mechanical Parts", 9_800),
    9834: ("Guidance Systems", 81_000), 9852: ("Tobacco", 110),
    48112: ("Zero-Point Condensate", 88),
})  # fmt: skip
CONTAINERS = _articles({
    3465: ("Large Secure Container", 310_000), 3466: ("Medium Secure Container", 190_000),
    3467: ("Small Secure Container", 95_000), 11489: ("Giant Secure Container", 1_900_000),
})  # fmt: skip
CORES = _articles({
    56201: ("Astrahus Upwell Quantum Core", 590_000_000),
    56202: ("Athanor Upwell Quantum Core", 590_000_000),
    56203: ("Raitaru Upwell Quantum Core", 600_000_000),
    56204: ("Fortizar Upwell Quantum Core", 2_900_000_000),
    56205: ("Tatara Upwell Quantum Core", 2_400_000_000),
    56206: ("Azbel Upwell Quantum Core", 2_400_000_000),
    56207: ("Keepstar Upwell Quantum Core", 62_000_000_000),
})  # fmt: skip
IMPLANTS = _articles({
    22125: ("Mid-grade Snake Alpha", 32_000_000), 22126: ("Mid-grade Snake Beta", 32_000_000),
    22129: ("Mid-grade Snake Gamma", 32_000_000), 22127: ("Mid-grade Snake Delta", 32_000_000),
    22128: ("Mid-grade Snake Epsilon", 32_000_000), 22130: ("Mid-grade Snake Omega", 160_000_000),
    22119: ("Mid-grade Amulet Alpha", 32_000_000), 22120: ("Mid-grade Amulet Beta", 32_000_000),
    22123: ("Mid-grade Amulet Gamma", 32_000_000), 22121: ("Mid-grade Amulet Delta", 32_000_000),
    22122: ("Mid-grade Amulet Epsilon", 32_000_000),
    22124: ("Mid-grade Amulet Omega", 160_000_000),
    20121: ("High-grade Crystal Alpha", 210_000_000),
    20157: ("High-grade Crystal Beta", 210_000_000),
    20158: ("High-grade Crystal Gamma", 210_000_000),
    20159: ("High-grade Crystal Delta", 210_000_000),
    20160: ("High-grade Crystal Epsilon", 210_000_000),
    20161: ("High-grade Crystal Omega", 1_900_000_000),
    10217: ("Ocular Filter - Improved", 24_000_000),
    10209: ("Memory Augmentation - Improved", 24_000_000),
    10213: ("Neural Boost - Improved", 24_000_000),
    10222: ("Cybernetic Subprocessor - Improved", 24_000_000),
    10226: ("Social Adaptation Chip - Improved", 24_000_000),
    3129: ("Zainou 'Deadeye' Missile Bombardment MB-704", 6_500_000),
    3094: ("Eifyr and Co. 'Rogue' Evasive Maneuvering EM-704", 6_500_000),
    3097: ("Eifyr and Co. 'Rogue' Navigation NN-604", 6_500_000),
    3238: ("Inherent Implants 'Squire' Capacitor Management EM-804", 6_500_000),
})  # fmt: skip
BOOSTERS = _articles({
    9950: ("Standard Blue Pill Booster", 3_100_000),
    15457: ("Standard X-Instinct Booster", 2_400_000), 28676: ("Synth Exile Booster", 95_000),
    25349: ("Strong Exile Booster", 26_000_000), 3898: ("Quafe Zero Classic", 1_400_000),
})  # fmt: skip
BLUEPRINTS = _articles({
    691: ("Rifter Blueprint", 12_500_000), 971: ("Vexor Blueprint", 12_500_000),
    2457: ("Hobgoblin II Blueprint", 12_500_000),
    2049: ("Damage Control II Blueprint", 12_500_000), 24703: ("Hurricane Blueprint", 12_500_000),
    995: ("Megathron Blueprint", 12_500_000),
})  # fmt: skip
SKINS = _articles({
    34748: ("Rifter Krusual SKIN", 21_000_000), 34696: ("Vexor Quafe SKIN", 21_000_000),
    36360: ("Drake Wiyrkomi SKIN", 21_000_000), 46024: ("Tengu Nightfire SKIN", 21_000_000),
    34601: ("Harbinger Kador SKIN", 21_000_000), 34695: ("Vexor InterBus SKIN", 21_000_000),
})  # fmt: skip
NPC_SHIPS = _articles({
    2383: ("Guristas Invader", 0), 11031: ("Guristas Murderer", 0), 11036: ("Guristas Killer", 0),
    10013: ("Angel Hijacker", 0), 10017: ("Angel Depredator", 0), 11025: ("Angel Predator", 0),
    10275: ("Blood Follower", 0), 10281: ("Blood Arch Reaver", 0),
    11043: ("Blood Arch Templar", 0), 2370: ("Serpentis Initiate", 0),
    10287: ("Serpentis Chief Patroller", 0), 2381: ("Serpentis Chief Spy", 0),
    3863: ("CONCORD Police Officer", 0), 3885: ("CONCORD Police Captain", 0),
})  # fmt: skip

TYPES: dict[int, Article] = (
    SHIPS
    | STRUCTURES
    | DEPLOYABLES
    | MODULES
    | SUBSYSTEMS
    | CHARGES
    | DRONES
    | CARGO
    | CONTAINERS
    | CORES
    | IMPLANTS
    | BOOSTERS
    | BLUEPRINTS
    | SKINS
    | NPC_SHIPS
)  # fmt: skip
ID_OF = {article.name: type_id for type_id, article in TYPES.items()}
