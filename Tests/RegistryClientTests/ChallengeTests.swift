import RegistryClient
import TestKit
import Testing

@Suite struct ChallengeTests {
    @Test(arguments: [
        ("Basic realm=\"r\"", [Challenge(scheme: "basic", parameters: ["realm": "r"])]),
        ("Bearer", [Challenge(scheme: "bearer", parameters: [:])]),
        (
            #"Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push""#,
            [
                Challenge(
                    scheme: "bearer",
                    parameters: [
                        "realm": "https://auth.example/token", "service": "reg",
                        "scope": "repository:a/b:pull,push",
                    ])
            ]
        ),
        (
            #"Negotiate, Basic Realm = token , bearer REALM="a \"quoted\" one""#,
            [
                Challenge(scheme: "negotiate", parameters: [:]),
                Challenge(scheme: "basic", parameters: ["realm": "token"]),
                Challenge(scheme: "bearer", parameters: ["realm": "a \"quoted\" one"]),
            ]
        ),
        ("", []), (" , ,", []), ("=\"", []),
        (
            #"Bearer realm="never ends"#,
            [
                Challenge(scheme: "bearer", parameters: ["realm": "never ends"])
            ]
        ),
    ]) func `a header's challenges are read as RFC 9110 writes them`(header: String, expected: [Challenge]) {
        #expect(Challenge.parse(header) == expected)
    }

    @Test(arguments: 0..<200) func `no header stops the parser or grows without bound`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let alphabet = Array("Bearer basic,=\"\\ \tréalm")
        let text = String(
            (0..<Int.random(in: 0...20_000, using: &random)).map { _ in
                alphabet.randomElement(using: &random)!
            })
        let found = Challenge.parse(text)
        #expect(found.count <= Challenge.Limit.headerBytes)
        #expect(found.allSatisfy { $0.parameters.count <= Challenge.Limit.parameters })
    }
}
