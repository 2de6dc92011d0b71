/// What `tr` does to characters.
struct CharacterMap {
    private var deleted: Set<Character> = []
    private var map: [Character: Character] = [:]
    private var squeezes = false

    /// Nil for sets that are not understood.
    init?(_ arguments: [String]) {
        let flags = arguments.filter { $0.hasPrefix("-") && $0.count > 1 }
        let sets = arguments.filter { !$0.hasPrefix("-") || $0.count == 1 }.map(CharacterMap.set)
        guard sets.allSatisfy({ $0 != nil }), let first = sets.first.flatMap({ $0 }) else { return nil }
        switch (flags, sets.count) {
        case (["-d"], 1): deleted = Set(first)
        case (["-s"], 1):
            squeezes = true
            map = Dictionary(first.map { ($0, $0) }) { $1 }
        case ([], 2):
            guard let second = sets[1], let last = second.last else { return nil }
            for (index, character) in first.enumerated() {
                map[character] = index < second.count ? second[index] : last
            }
        default: return nil
        }
    }

    private static func set(_ text: String) -> [Character]? {
        let classes = [
            "[:upper:]": "A-Z", "[:lower:]": "a-z", "[:digit:]": "0-9", "[:space:]": " \t\n",
            "[:blank:]": " \t",
        ]
        let plain = (classes[text] ?? text).replacing("\\n", with: "\n").replacing("\\t", with: "\t")
        guard !plain.contains("["), !plain.contains("\\") else { return nil }
        var result: [Character] = []
        let letters = Array(plain)
        var index = 0
        while index < letters.count {
            if index + 2 < letters.count, letters[index + 1] == "-", let low = letters[index].asciiValue,
                let high = letters[index + 2].asciiValue, low <= high
            {
                result += (low...high).map { Character(UnicodeScalar($0)) }
                index += 3
            } else {
                result.append(letters[index])
                index += 1
            }
        }
        return result
    }

    func apply(_ text: String) -> String {
        var result = ""
        for character in text where !deleted.contains(character) {
            if squeezes, map[character] != nil, result.last == character { continue }
            result.append(map[character] ?? character)
        }
        return result
    }
}
