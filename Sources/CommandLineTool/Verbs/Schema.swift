internal import ArgumentParser
internal import SpecFile

struct Schema: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the JSON Schema of kiln.yaml, for editors.",
        discussion: """
            Example:
              kiln schema > kiln.schema.json
            """)

    func run() async throws { Screen.answer(SpecSchema.text) }
}
