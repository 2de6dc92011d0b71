import Model

/// Everything wrong with one file, gathered while reading it to the end.
struct Problems {
    private let file: String
    private var found: [(line: Int, failure: Failure)] = []

    init(file: String) { self.file = file }

    var isEmpty: Bool { found.isEmpty }

    mutating func add(_ message: String, line: Int, suggestion: String) {
        found.append(
            (line, Failure(.invalidSpec, message, at: "\(file):\(line)", suggestion: suggestion)))
    }

    /// In the order of the file, at most `Bounds.problemsShown` of them. nil when nothing is wrong.
    var failures: Failures? {
        if found.isEmpty { return nil }
        let sorted = found.enumerated().sorted { ($0.element.line, $0.offset) < ($1.element.line, $1.offset) }
        var shown = sorted.prefix(Bounds.problemsShown).map(\.element.failure)
        if sorted.count > shown.count {
            shown.append(
                Failure(
                    .invalidSpec, "\(sorted.count - shown.count) more problems are not shown",
                    at: "\(file):\(sorted[shown.count].element.line)",
                    suggestion: "mend the ones above first"))
        }
        return Failures(shown)
    }
}

/// Text of the user's own as it may stand inside a message: on one line, short, and in quotes.
func quoted(_ text: String) -> String {
    var shown = ""
    for (index, character) in text.enumerated() {
        if index == 60 { return "\"\(shown)…\"" }
        let isControl = character.unicodeScalars.contains {
            $0.properties.generalCategory == .control || $0.properties.isWhitespace && $0 != " "
        }
        shown += isControl ? " " : String(character)
    }
    return "\"\(shown)\""
}

/// `a`, `a and b`, `a, b and c`.
func sentence(_ items: [String]) -> String {
    guard let last = items.last, items.count > 1 else { return items.first ?? "" }
    return items.dropLast().joined(separator: ", ") + " and " + last
}
