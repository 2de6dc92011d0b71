/// Damage as it comes: bits, cuts, repetitions, and text where it does not belong.
package enum Mutation {
    private static let texts = [
        "{", "}", "[", "]", "\"", "null", "-1", "9999999999999999999", "1e9", "\u{0}", "sha256:", ":",
    ]

    package static func of(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var copy = bytes
        for _ in 0..<Int.random(in: 1...6, using: &random) where !copy.isEmpty {
            let position = Int.random(in: 0..<copy.count, using: &random)
            let end = min(copy.count, position + Int.random(in: 1...40, using: &random))
            switch Int.random(in: 0..<5, using: &random) {
            case 0: copy[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: copy.removeSubrange(position..<end)
            case 2: copy.insert(contentsOf: copy[position..<end], at: position)
            case 3: copy.replaceSubrange(position..<end, with: texts.randomElement(using: &random)!.utf8)
            default: copy.removeSubrange(position...)
            }
        }
        return copy
    }
}
