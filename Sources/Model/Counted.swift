/// `1 instance`, `3 instances`: a count with its noun, for people.
package func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
