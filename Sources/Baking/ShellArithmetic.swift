/// The whole numbers of `$((…))`, as far as scripts count with them.
struct ShellArithmetic {
    private var rest: Substring
    private let variable: (String) -> Int?
    private var depth = 0

    private enum Limit {
        static let depth = 20
    }

    init(_ text: String, variable: @escaping (String) -> Int?) {
        // What stands in the inner pair of brackets, where both are still there.
        rest = text[...]
        self.variable = variable
    }

    /// The value of the whole text; nil where it is no formula or a number is missing.
    mutating func value() -> Int? {
        let result = comparison()
        skip()
        return rest.isEmpty ? result : nil
    }

    private mutating func skip() { rest = rest.drop { $0.isWhitespace } }

    private mutating func take(_ symbol: String) -> Bool {
        skip()
        guard rest.hasPrefix(symbol) else { return false }
        rest = rest.dropFirst(symbol.count)
        return true
    }

    private mutating func comparison() -> Int? {
        guard let left = sum() else { return nil }
        for (symbol, holds) in [
            ("<=", { $0 <= $1 }), (">=", { $0 >= $1 }), ("==", { $0 == $1 }), ("!=", { $0 != $1 }),
            ("<", { $0 < $1 }), (">", { $0 > $1 }),
        ] as [(String, (Int, Int) -> Bool)] where take(symbol) {
            return sum().map { holds(left, $0) ? 1 : 0 }
        }
        return left
    }

    private mutating func sum() -> Int? {
        guard var result = product() else { return nil }
        while true {
            let isPlus = take("+")
            guard isPlus || take("-") else { return result }
            guard let right = product() else { return nil }
            let (sum, overflows) =
                isPlus ? result.addingReportingOverflow(right) : result.subtractingReportingOverflow(right)
            if overflows { return nil }
            result = sum
        }
    }

    private mutating func product() -> Int? {
        guard var result = number() else { return nil }
        while true {
            skip()
            guard let symbol = rest.first, "*/%".contains(symbol) else { return result }
            rest = rest.dropFirst()
            guard let right = number(), symbol == "*" || right > 0 else { return nil }
            let (product, overflows) = result.multipliedReportingOverflow(by: right)
            if symbol == "*", overflows { return nil }
            result = symbol == "*" ? product : symbol == "/" ? result / right : result % right
        }
    }

    private mutating func number() -> Int? {
        depth += 1
        defer { depth -= 1 }
        guard depth < Limit.depth else { return nil }
        if take("(") {
            let result = comparison()
            return take(")") ? result : nil
        }
        if take("-") { return number().map { 0 &- $0 } }
        skip()
        let word = rest.prefix { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
        rest = rest.dropFirst(word.count)
        return Int(word) ?? (word.isEmpty ? nil : variable(String(word)))
    }
}
