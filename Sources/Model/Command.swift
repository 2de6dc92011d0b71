/// A program to run: a value; one place per adapter runs values.
package struct Command: Hashable, Sendable, CustomStringConvertible {
    package var program: String
    package var arguments: [String]
    /// The whole environment; nothing is inherited besides it.
    package var environment: [String: String]

    package init(
        _ program: String, _ arguments: [String], environment: [String: String] = Command.plainEnvironment
    ) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
    }

    /// A search path and a locale that does not translate messages.
    package static let plainEnvironment = [
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
    ]

    package var description: String { ([program] + arguments).joined(separator: " ") }
}
