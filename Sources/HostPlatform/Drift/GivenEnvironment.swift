/// The environment that an instance's first process was given, against the memory where the kernel put it.
///
/// That memory is the program's own to write to: many servers overwrite it from its beginning with a title for `ps`,
/// and careful ones blank out a secret in it. So only what cannot be either counts: a variable that was given, stands
/// behind nothing but other variables that were given, and has a value that is neither the given one nor blanked.
struct GivenEnvironment: Hashable, Sendable {
    private let given: [String: String]

    init(_ entries: [String]) {
        given = Dictionary(
            entries.compactMap { entry in
                entry.firstIndex(of: "=").map {
                    (String(entry[..<$0]), String(entry[entry.index(after: $0)...]))
                }
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Names of the variables that somebody gave another value. Never a value: it may be a secret.
    func changed(in memory: [UInt8]) -> [String] {
        var names: [String] = []
        for entry in memory.split(separator: 0, omittingEmptySubsequences: false) {
            guard let sign = entry.firstIndex(of: UInt8(ascii: "=")) else { break }
            let name = String(decoding: entry[..<sign], as: UTF8.self)
            guard let value = given[name] else { break }
            let now = entry[(sign + 1)...]
            if now.elementsEqual(value.utf8) || GivenEnvironment.isBlanked(now, value) { continue }
            names.append(name)
        }
        return names
    }

    /// Nothing is left of it, or one character as often as it was long.
    private static func isBlanked(_ now: ArraySlice<UInt8>, _ given: String) -> Bool {
        guard let first = now.first else { return true }
        return now.count == given.utf8.count && now.count > 1 && now.allSatisfy { $0 == first }
    }
}
