"""Solar systems by their real ids, by the kind of space they lie in."""

HIGH_SECURITY = {
    30000142: "Jita", 30000144: "Perimeter", 30000139: "Urlen", 30000141: "Kisogo",
    30002187: "Amarr", 30003491: "Ashab", 30002659: "Dodixie", 30002510: "Rens", 30002053: "Hek",
    30002768: "Uedama", 30001425: "Oipo", 30005001: "Arnon", 30003831: "Osmeden",
}  # fmt: skip
LOW_SECURITY = {
    30002813: "Tama", 30002809: "Sujarento", 30002537: "Amamake", 30002538: "Vard",
    30002539: "Siseide", 30002718: "Rancer", 30002693: "Egghelende", 30005196: "Ahbazon",
    30045307: "Okagaiken", 30045344: "Nennamaila", 30003067: "Huola", 30003068: "Kourmonen",
    30004979: "Heydieles", 30004980: "Fliet", 30005000: "Old Man Star", 30001448: "Hakonen",
    30001447: "Taisy", 30001398: "Aunenen", 30003836: "Vlillirier", 30000162: "Maila",
}  # fmt: skip
NULL_SECURITY = {
    30004759: "1DQ1-A", 30004735: "T5ZI-S", 30001161: "HED-GP", 30001198: "GE-8JV",
    30000848: "M-OEE8", 30003277: "PF-346", 30003135: "D-PNP9", 30004807: "UALX-3",
    30003950: "K7D-II", 30001967: "X47L-Q",
}  # fmt: skip
WORMHOLES = {
    31000005: "Thera", 31000002: "J110145", 31000003: "J164710", 31000007: "J105443",
    31000382: "J211936", 31001712: "J121006", 31001753: "J100001", 31002238: "J115405",
    31002439: "J163225", 31002604: "J000102",
}  # fmt: skip
POCHVEN = {
    30003504: "Niarja", 30003495: "Raravoss", 30000021: "Kuharah", 30000157: "Otela",
    30010141: "Sakenta",
}  # fmt: skip
ABYSS = {32000025: "AD025", 32000129: "AD129", 32000154: "AD154", 32000197: "AD197"}

SYSTEMS = HIGH_SECURITY | LOW_SECURITY | NULL_SECURITY | WORMHOLES | POCHVEN | ABYSS
