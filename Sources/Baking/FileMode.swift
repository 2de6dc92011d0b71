/// Modes as chmod takes them.
enum FileMode {
    /// The mode after `0644`, `u+x,go-w` or the like; nil where the text is no mode.
    static func changed(_ mode: Int, by text: String, isFolder: Bool) -> Int? {
        if let number = Int(text, radix: 8), number >= 0, number <= 0o7777 { return number }
        var result = mode
        for clause in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let split = clause.firstIndex(where: { "+-=".contains($0) }) else { return nil }
            var who = String(clause[..<split])
            if who.isEmpty || who.contains("a") { who = "ugo" }
            guard who.allSatisfy({ "ugo".contains($0) }) else { return nil }
            var bits = 0
            for letter in clause[clause.index(after: split)...] {
                for one in who {
                    let shift = one == "u" ? 6 : one == "g" ? 3 : 0
                    switch letter {
                    case "r": bits |= 4 << shift
                    case "w": bits |= 2 << shift
                    case "x": bits |= 1 << shift
                    case "X": if isFolder || mode & 0o111 != 0 { bits |= 1 << shift }
                    case "s": bits |= one == "u" ? 0o4000 : one == "g" ? 0o2000 : 0
                    case "t": bits |= 0o1000
                    default: return nil
                    }
                }
            }
            let mask = who.reduce(0) { $0 | 7 << ($1 == "u" ? 6 : $1 == "g" ? 3 : 0) }
            switch clause[split] {
            case "+": result |= bits
            case "-": result &= ~bits
            default: result = result & ~mask | bits
            }
        }
        return result
    }
}
