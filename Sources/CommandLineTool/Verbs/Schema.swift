internal import ArgumentParser
internal import SpecFile

struct Schema: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the JSON Schema of kiln.yaml, for editors.",
        discussion: """
            Examples:
              kiln schema > kiln.schema.json
              kiln schema --policy > policy.schema.json     of a host's policy file
            """)

    @Flag(help: "That of a host's policy file instead.")
    var policy = false

    func run() async throws { Screen.answer(policy ? HostPolicy.schema : SpecSchema.text) }
}
