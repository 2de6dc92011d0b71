/// What the YAML parser complains of, in words for somebody who does not know its grammar.
struct SyntaxFault {
    var message: String
    var advice: String
    /// The parser noticed it later than where it began: name the line of the beginning.
    var isWhereItBegan = false

    /// `problem` is the parser's own text, `line` the line of the file that it noticed it on.
    init(problem: String, line: String) {
        if line.prefix(while: \.isWhitespace).contains("\t") || problem.contains("tab") {
            message = "a tab is used to indent"
            advice = "indent with spaces; YAML allows no tabs there"
        } else if problem.contains("undefined alias") || problem.contains("alphabetic or numeric") {
            message = "* or & begins a text; YAML takes it for a reference"
            advice = "put the text in quotes, such as \"*:8000\""
        } else if problem.contains("cannot start any token") {
            message = "a text begins with a character that means something else in YAML"
            advice = "put text that begins with @, %, ` or ! in quotes"
        } else if problem.contains("expected node content") {
            message = "a text begins with [ or {; YAML takes it for a list or group"
            advice = "put the text in quotes, such as \"[::1]:8000\""
        } else if problem.contains("end of stream") || problem.contains("expected ',' or") {
            message = "a [, { or quote is not closed"
            advice = "close it; text that has one of them goes in quotes"
            isWhereItBegan = true
        } else if problem.contains("expected ':'") {
            message = "a line has no `key:`"
            advice = "write `key: value`, with a space after the colon"
            isWhereItBegan = true
        } else if problem.contains("mapping values are not allowed") {
            message = "a colon stands where no key can be"
            advice =
                "put text that has a colon and a space in quotes, and indent with two spaces for each level"
        } else if problem.contains("expected key") || problem.contains("'-' indicator") {
            message = "this line does not fit the indentation of those above"
            advice = "indent with two spaces for each level, the same for all keys of a group"
        } else {
            message = "this is not YAML: \(problem)"
            advice =
                "indent with two spaces for each level, and write `key: value` with a space after the colon"
        }
    }
}

extension String {
    /// A line counted from 1; empty where there is none.
    func line(_ number: Int) -> String {
        let lines = split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        return lines.indices.contains(number - 1) ? String(lines[number - 1]) : ""
    }
}
