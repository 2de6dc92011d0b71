/// One value of a spec as it was written, with the line to name when something is wrong with it.
struct SpecNode: Sendable {
    enum Content: Sendable {
        /// Nothing after the colon, or `null`.
        case empty
        /// The text as written; `isQuoted` tells `"3"` from `3`.
        case scalar(String, isQuoted: Bool)
        case list([SpecNode])
        case mapping([Pair])
    }

    struct Pair: Sendable {
        var key: String
        var line: Int
        var value: SpecNode
    }

    var line: Int
    var content: Content

    /// The same, each line greater by so much.
    func raised(by lines: Int) -> SpecNode {
        let content: Content =
            switch content {
            case .empty, .scalar: content
            case .list(let items): .list(items.map { $0.raised(by: lines) })
            case .mapping(let pairs):
                .mapping(
                    pairs.map {
                        Pair(key: $0.key, line: $0.line + lines, value: $0.value.raised(by: lines))
                    })
            }
        return SpecNode(line: line + lines, content: content)
    }

    /// What it is, as a message says it.
    var kindName: String {
        switch content {
        case .empty: "empty"
        case .scalar(_, isQuoted: true): "text in quotes"
        case .scalar: "a single value"
        case .list: "a list"
        case .mapping: "a group of settings"
        }
    }
}
