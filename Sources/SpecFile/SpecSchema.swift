/// The JSON Schema of kiln.yaml, for editors: completion, explanations, and problems underlined while
/// writing. It comes from the keys that the parser itself uses. What takes more than one value to judge, only
/// the parser knows.
package enum SpecSchema {
    /// The whole schema (draft 2020-12), with a line break at its end.
    package static var text: String {
        document(
            title: SpecFile.name,
            "An immutable service: what goes into its image, how it runs, and how it is replaced.",
            SpecKeys.all,
            rules: [
                "dependentRequired": .object([
                    SpecKeys.trafficProtocol.name: .list([.text(SpecKeys.listen.name)])
                ])
            ])
    }

    /// A schema for a file with these keys at its top.
    static func document(
        title: String, _ description: String, _ keys: [any AnyKey], rules: KeyValuePairs<String, JSON> = [:]
    ) -> String {
        let head: JSON = .object([
            "$schema": .text("https://json-schema.org/draft/2020-12/schema"),
            "title": .text(title), "description": .text(description),
        ])
        guard case .object(let first) = head, case .object(let rest) = Section.schema(keys) else {
            preconditionFailure("a schema is an object")
        }
        return JSON.object(first + rest).adding(rules).pretty + "\n"
    }
}
