import Foundation
import Model
import RegistryClient
import TestKit
import Testing

@Suite struct DockerConfigTests {
    private static func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    private static let file = """
        {"auths": {
           "registry.example": {"auth": "\(base64("ann:pass:word"))"},
           "registry.example/team": {"auth": "\(base64("team:t"))"},
           "https://old.example:5000/v1/": {"auth": "\(base64("old:o"))"},
           "token.example": {"identitytoken": "refresh", "auth": "\(base64("x:"))"},
           "plain.example": {"username": "u", "password": "p"},
           "kept.example": {}},
         "credHelpers": {"helped.example": "pass"}, "credsStore": "desktop", "detachKeys": "ctrl-e"}
        """

    @Test(
        arguments: [
            ("registry.example", "app", .credential(.password(user: "ann", password: "pass:word"))),
            ("registry.example", "team/app", .credential(.password(user: "team", password: "t"))),
            ("registry.example", "teams/app", .credential(.password(user: "ann", password: "pass:word"))),
            ("old.example:5000", "a", .credential(.password(user: "old", password: "o"))),
            ("old.example", "a", .helper("desktop", server: "old.example")),
            ("token.example", "a", .credential(.identityToken("refresh"))),
            ("plain.example", "a", .credential(.password(user: "u", password: "p"))),
            ("kept.example", "a", .helper("desktop", server: "kept.example")),
            ("helped.example", "a", .helper("pass", server: "helped.example")),
        ] as [(String, String, DockerConfig.Entry)]) func `who we are to a repository`(
            host: String, repository: String, expected: DockerConfig.Entry
        ) throws
    {
        let config = try DockerConfig(parsing: Array(DockerConfigTests.file.utf8), place: "config.json")
        #expect(config.entry(for: try RegistryHost(parsing: host), repository: repository) == expected)
    }

    /// `docker login` writes the address of an API that is gone; podman writes the name.
    @Test(arguments: ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"])
    func `credentials of Docker Hub are found by any of its names`(key: String) throws {
        let file = #"{"auths": {"\#(key)": {"auth": "\#(DockerConfigTests.base64("ann:p"))"}}}"#
        let config = try DockerConfig(parsing: Array(file.utf8), place: "config.json")
        for name in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            #expect(
                config.entry(for: try RegistryHost(parsing: name), repository: "library/nginx")
                    == .credential(.password(user: "ann", password: "p")), "\(name)")
        }
        #expect(config.entry(for: try RegistryHost(parsing: "registry.example"), repository: "a") == nil)
        let helped = try DockerConfig(parsing: Array(#"{"credsStore": "pass"}"#.utf8), place: "config.json")
        #expect(
            helped.entry(for: try RegistryHost(parsing: "docker.io"), repository: "a")
                == .helper("pass", server: "https://index.docker.io/v1/"))
    }

    @Test(arguments: [
        "", "[]", "{", #"{"auths": {"a": {"auth": "%%"}}}"#, #"{"auths": {"a": {"auth": "YWJj"}}}"#,
        #"{"credHelpers": {"a": "../../bin/sh"}}"#, #"{"credHelpers": {"a": "x y"}}"#,
        #"{"credsStore": "a/b"}"#,
    ]) func `a damaged file is named, and nothing of it shown`(text: String) {
        let failure = #expect(throws: Failure.self) {
            try DockerConfig(parsing: Array(text.utf8), place: "config.json")
        }
        #expect(failure?.place == "config.json")
        #expect(!"\(failure as Any)".contains("YWJj"))
    }

    @Test func `a credential does not show itself`() {
        let credential = Credential.password(user: "ann", password: "secret")
        #expect(!"\(credential) \(String(reflecting: credential)) \([credential])".contains("secret"))
    }

    @Test(arguments: 0..<300) func `no damage of the file stops the parser`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let bytes = Mutation.of(Array(DockerConfigTests.file.utf8), &random)
        let config = try? DockerConfig(parsing: bytes, place: "config.json")
        _ = config?.entry(for: try! RegistryHost(parsing: "registry.example"), repository: "team/app")
    }
}

@Suite struct RegistryRulesTests {
    private func settings(_ text: String) throws -> RegistrySettings {
        var settings = RegistrySettings()
        settings.rules = try RegistryRules(parsing: Array(text.utf8), place: "registries.json")
        return settings
    }

    @Test(arguments: [
        ("registry.example", "https://registry.example"), ("plain.example", "http://plain.example"),
        ("localhost:5000", "http://localhost:5000"), ("127.0.0.1:443", "https://127.0.0.1:443"),
        ("tls.localhost:5000", "https://tls.localhost:5000"), ("ca.localhost", "https://ca.localhost"),
    ]) func `plain http is for this machine, or where it is written`(host: String, origin: String) throws {
        let settings = try settings(
            """
            {"registries": {"plain.example": {"plain-http": true}, "tls.localhost:5000": {"plain-http": false},
             "ca.localhost": {"ca": "/ca.pem"}}}
            """)
        #expect("\(settings.origin(of: try RegistryHost(parsing: host)))" == origin)
    }

    @Test func `mirrors are read in order, with their paths`() throws {
        let rules = try settings(
            #"{"registries": {"registry.example": {"mirrors": ["m.example:5000", "n.example/cache/hub"]}}}"#
        ).rules
        let mirrors = try #require(rules[try RegistryHost(parsing: "registry.example")]).mirrors
        #expect(mirrors.map(\.host.description) == ["m.example:5000", "n.example"])
        #expect(mirrors.map(\.path) == [nil, "cache/hub"])
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"registries": []}"#, #"{"registries": {"a b": {}}}"#,
        #"{"registries": {"a": {"mirror": []}}}"#, #"{"registries": {"a": {"plain-http": "yes"}}}"#,
        #"{"registries": {}, "more": 1}"#, #"{"registries": {"a": {"mirrors": ["x/Y"]}}}"#,
    ]) func `a wrong file is refused with an example of a right one`(text: String) {
        let failure = #expect(throws: Failure.self) { try settings(text) }
        #expect(failure?.suggestion != nil)
    }
}
