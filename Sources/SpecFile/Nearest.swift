/// Finds what somebody meant to write.
enum Nearest {
    /// The candidate that `word` abbreviates, or else the one that takes the fewest changes to reach from it,
    /// if few enough for a slip of the finger.
    static func match(_ word: String, among candidates: [String]) -> String? {
        let plain = normalized(word)
        guard plain.count <= 40 else { return nil }
        if plain.count >= 2, let whole = candidates.first(where: { normalized($0).starts(with: plain) }) {
            return whole
        }
        let ranked = candidates.map { ($0, distance(plain, normalized($0))) }.min { $0.1 < $1.1 }
        guard let (candidate, changes) = ranked, changes <= max(1, plain.count / 3) else { return nil }
        return candidate
    }

    private static func normalized(_ word: String) -> [Character] {
        word.lowercased().map { $0 == "_" ? "-" : $0 }
    }

    /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
    static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var before: [Int] = []
        var previous = Array(0...right.count)
        for i in 0..<left.count {
            var current = [i + 1] + Array(repeating: 0, count: right.count)
            for j in 0..<right.count {
                let replaced = previous[j] + (left[i] == right[j] ? 0 : 1)
                current[j + 1] = min(previous[j + 1] + 1, current[j] + 1, replaced)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    current[j + 1] = min(current[j + 1], before[j - 1] + 1)
                }
            }
            (before, previous) = (previous, current)
        }
        return previous[right.count]
    }
}
