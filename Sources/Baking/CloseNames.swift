/// Finds what somebody may have meant by a name that does not exist.
package enum CloseNames {
    /// At most `count` of `known`, nearest first, none further away than a third of the name's length allows.
    static func of(_ name: String, among known: some Sequence<String>, count: Int = 3) -> [String] {
        let wanted = Array(name.utf8)
        let farthest = max(1, min(3, wanted.count / 3))
        var found: [(distance: Int, name: String)] = []
        for candidate in known {
            let bytes = Array(candidate.utf8)
            if bytes.count > wanted.count + farthest {
                // `postgres` for `postgresql-15`: the beginning of a longer name.
                if wanted.count >= 4, bytes.starts(with: wanted) { found.append((farthest + 1, candidate)) }
                continue
            }
            if bytes.count + farthest < wanted.count { continue }
            let distance = distance(wanted, bytes, atMost: farthest)
            if distance <= farthest { found.append((distance, candidate)) }
        }
        found.sort { ($0.distance, $0.name.utf8.count, $0.name) < ($1.distance, $1.name.utf8.count, $1.name) }
        return found.prefix(count).map(\.name)
    }

    /// `did you mean a, b or c?`, or nil where nothing is near.
    package static func question(_ name: String, among known: some Sequence<String>) -> String? {
        let names = of(name, among: known)
        guard let last = names.last else { return nil }
        let text = names.count == 1 ? last : names.dropLast().joined(separator: ", ") + " or " + last
        return "did you mean \(text)?"
    }

    /// Edits (insert, delete, replace, swap of neighbours) from one to the other; `limit` + 1 once it is more.
    static func distance(_ left: [UInt8], _ right: [UInt8], atMost limit: Int) -> Int {
        var older: [Int] = []
        var previous = Array(0...right.count)
        for row in left.indices {
            var current = [row + 1]
            current.reserveCapacity(right.count + 1)
            for column in right.indices {
                var best = min(
                    previous[column + 1] + 1, current[column] + 1,
                    previous[column] + (left[row] == right[column] ? 0 : 1))
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    best = min(best, older[column - 1] + 1)
                }
                current.append(best)
            }
            if current.min()! > limit { return limit + 1 }
            older = previous
            previous = current
        }
        return previous[right.count]
    }
}
