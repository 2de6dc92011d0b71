import Model
import NIOHTTP1
import RegistryClient
import Storage
import TestWeb
import Testing
import TestKit

@Suite struct SignInTests {
    private let image = TestImage()

    private func registry(_ signIn: RegistryDouble.SignIn) async throws -> RegistryDouble {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.signIn = signIn
        let registry = try await RegistryDouble(behaviour)
        registry.put(image, as: "v1", in: "app")
        return registry
    }

    @Test(arguments: [12, 1000]) func `tokens are asked for, used while they hold, and renewed`(uses: Int)
        async throws
    {
        let registry = try await registry(.token(user: "ann", password: "secret", uses: uses))
        try await Bench.run { settings in
            settings.chunk = 20_000
            settings.credentials = [try .of(registry.address, "ann:secret")]
        } _: { bench in
            try await bench.pull("\(registry.address)/app:v1")
            try await bench.push(
                image.digest, to: "\(registry.address)/other:v1", mountFrom: "\(registry.address)/x")
            #expect(registry.manifest("v1", in: "other")?.bytes == image.manifest)
            let tokens = registry.asked.filter { $0.path == "/token" }
            if uses == 1000 { #expect(tokens.count <= 8) }
            #expect(
                tokens.allSatisfy { $0.query.contains("service=double") && $0.query.contains("account=ann") })
            // The password goes to the token server only.
            #expect(
                registry.asked.allSatisfy {
                    $0.path == "/token" || !($0.headers["authorization"].first ?? "").hasPrefix("Basic")
                })
        }
    }

    @Test func `anybody gets a token where nobody has to sign in`() async throws {
        let registry = try await registry(.token(user: nil, password: "", uses: 100))
        try await Bench.run { bench in
            let report = try await bench.pull("\(registry.address)/app:v1")
            #expect(report.digest == image.digest)
        }
    }

    @Test func `an identity token is changed for an access token`() async throws {
        let registry = try await registry(.token(user: "", password: "refresh", uses: 100))
        try await Bench.run { settings in
            settings.credentials = [
                try DockerConfig(
                    parsing: Array(
                        #"{"auths": {"\#(registry.address)": {"identitytoken": "refresh"}}}"#.utf8),
                    place: "config.json")
            ]
        } _: { bench in
            try await bench.pull("\(registry.address)/app:v1")
            #expect(registry.asked.first { $0.path == "/token" }?.method == "POST")
        }
    }

    @Test func `a credential helper is asked by the name that it knows the registry by`() async throws {
        let registry = try await registry(.basic(user: "ann", password: "secret"))
        try await Bench.run { settings in
            settings.credentials = [
                try DockerConfig(
                    parsing: Array(#"{"credHelpers": {"\#(registry.address)": "keys"}}"#.utf8),
                    place: "config.json")
            ]
            settings.world.askHelper = { name, server in
                name == "keys" && server == registry.address
                    ? .password(user: "ann", password: "secret") : nil
            }
        } _: { bench in
            let report = try await bench.pull("\(registry.address)/app:v1")
            #expect(report.digest == image.digest)
        }
    }

    @Test(
        arguments: [
            RegistryDouble.SignIn.basic(user: "ann", password: "secret"),
            .token(user: "ann", password: "secret", uses: 9),
        ], [nil, "ann:wrong-one"]) func `who may not come in is told how to sign in, and no secret is shown`(
            signIn: RegistryDouble.SignIn, login: String?
        ) async throws
    {
        let registry = try await registry(signIn)
        try await Bench.run { settings in
            settings.credentials = try login.map { [try .of(registry.address, $0)] } ?? []
        } _: { bench in
            let failure = await #expect(throws: Failure.self) {
                try await bench.pull("\(registry.address)/app:v1")
            }
            #expect(failure?.code == .notSignedIn)
            #expect(failure?.suggestion?.contains("sign in") ?? false)
            #expect(!"\(failure as Any)".contains("wrong-one"))
            // One question, one proof: a wrong password is not tried again and again until the account is locked.
            #expect(registry.asked.count <= 3)
        }
    }

    @Test func `a registry that is slow to answer is asked after the pause that it names`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { _, number in number <= 2 ? .status(429, headers: ["retry-after": "11"]) : nil }
        let registry = try await RegistryDouble(behaviour)
        registry.put(image, as: "v1", in: "app")
        try await Bench.run { bench in
            try await bench.pull("\(registry.address)/app:v1")
            #expect(Set(bench.waited) == [.seconds(11)])
        }
    }

    @Test func `one that asks for an hour is given up`() async throws {
        var behaviour = RegistryDouble.Behaviour()
        behaviour.fault = { _, _ in .status(429, headers: ["retry-after": "3600"]) }
        let registry = try await RegistryDouble(behaviour)
        try await Bench.run { bench in
            let failure = await #expect(throws: Failure.self) {
                try await bench.pull("\(registry.address)/app:v1")
            }
            #expect(failure?.code == .registryRefused)
            #expect(bench.waited.isEmpty && registry.asked.count == 1)
        }
    }

    @Test func `a registry that is not there is named, with a code of its own`() async throws {
        try await Bench.run { bench in
            let failure = await #expect(throws: Failure.self) { try await bench.pull("127.0.0.1:1/app:v1") }
            #expect(failure?.code == .registryUnreachable && failure?.exitCode == 3)
        }
    }
}
