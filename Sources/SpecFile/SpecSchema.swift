/// The JSON Schema of kiln.yaml, for editors: completion, explanations, and problems underlined while
/// writing. It comes from the keys that the parser itself uses. What takes more than one value to judge, only
/// the parser knows.
package enum SpecSchema {
    /// The whole schema (draft 2020-12), with a line break at its end.
    package static var text: String {
        let head: JSON = .object([
            "$schema": .text("https://json-schema.org/draft/2020-12/schema"),
            "title": .text("kiln.yaml"),
            "description": .text(
                "An immutable service: what goes into its image, how it runs, and how it is replaced."),
        ])
        guard case .object(let first) = head, case .object(let rest) = Section.schema(SpecKeys.all) else {
            preconditionFailure("a schema is an object")
        }
        return JSON.object(first + rest).adding([
            "dependentRequired": .object([SpecKeys.trafficProtocol.name: .list([.text(SpecKeys.listen.name)])]
            )
        ]).pretty + "\n"
    }
}
