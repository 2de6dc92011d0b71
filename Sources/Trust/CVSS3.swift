package import Model

/// The base score of CVSS 3.0 and 3.1 (FIRST, "Common Vulnerability Scoring System v3.1", section 7).
package struct CVSS3: Hashable, Sendable {
    /// 0…100: ten times the score, which has one decimal.
    package let tenths: Int

    /// Takes `CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H`. Metrics beyond the base ones may follow, and do not count.
    package init(vector: String) throws {
        let fields = vector.split(separator: "/", omittingEmptySubsequences: false)
        guard vector.utf8.count <= 256, let version = fields.first,
            version == "CVSS:3.0" || version == "CVSS:3.1"
        else { throw CVSS3.unreadable(vector) }
        var values: [Substring: Substring] = [:]
        for field in fields.dropFirst() {
            let parts = field.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, values.updateValue(parts[1], forKey: parts[0]) == nil else {
                throw CVSS3.unreadable(vector)
            }
        }
        func weight(_ name: Substring, _ weights: [Substring: Double]) throws -> Double {
            guard let value = values[name], let weight = weights[value] else {
                throw CVSS3.unreadable(vector)
            }
            return weight
        }
        let isChanged = try weight("S", ["U": 0, "C": 1]) == 1
        let exploitability =
            try 8.22 * weight("AV", ["N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2])
            * weight("AC", ["L": 0.77, "H": 0.44])
            * weight("PR", ["N": 0.85, "L": isChanged ? 0.68 : 0.62, "H": isChanged ? 0.5 : 0.27])
            * weight("UI", ["N": 0.85, "R": 0.62])
        let harm = ["H": 0.56, "L": 0.22, "N": 0] as [Substring: Double]
        let base = try 1 - (1 - weight("C", harm)) * (1 - weight("I", harm)) * (1 - weight("A", harm))
        let impact =
            isChanged ? 7.52 * (base - 0.029) - 3.25 * CVSS3.power(base - 0.02, 15) : 6.42 * base
        guard impact > 0 else {
            tenths = 0
            return
        }
        tenths = CVSS3.roundedUp(min((isChanged ? 1.08 : 1) * (impact + exploitability), 10))
    }

    private static func power(_ base: Double, _ exponent: Int) -> Double {
        (0..<exponent).reduce(1.0) { product, _ in product * base }
    }

    /// To one decimal, free of what binary fractions add (appendix A).
    private static func roundedUp(_ score: Double) -> Int {
        let whole = Int((score * 100_000).rounded())
        return whole.isMultiple(of: 10_000) ? whole / 10_000 : whole / 10_000 + 1
    }

    /// Section 5. What does no harm at all is rated low here: there is no lower word.
    package var severity: Severity {
        switch tenths {
        case 90...: .critical
        case 70...: .high
        case 40...: .medium
        default: .low
        }
    }

    private static func unreadable(_ vector: String) -> Failure {
        Failure(.malformedEvidence, "\"\(vector.prefix(100))\" is no vector of CVSS 3")
    }
}
