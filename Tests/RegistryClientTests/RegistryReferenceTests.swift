import Model
import RegistryClient
import Testing

private let hex = String(repeating: "ab", count: 32)

@Suite struct RegistryReferenceTests {
    @Test(arguments: [
        ("registry.example/app", "registry.example/app", "latest"),
        ("docker://registry.example/app:v1", "registry.example/app:v1", "v1"),
        ("localhost/app:v1", "localhost/app:v1", "v1"),
        ("LOCALHOST:5000/team/a/b_c--d:V.1-x", "localhost:5000/team/a/b_c--d:V.1-x", "V.1-x"),
        ("[::1]:5000/app:v1", "[::1]:5000/app:v1", "v1"),
        ("docker.io/nginx:1.27", "docker.io/library/nginx:1.27", "1.27"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx", "latest"),
        ("registry-1.docker.io/team/app:v1", "docker.io/team/app:v1", "v1"),
        ("docker.io.example/nginx:1", "docker.io.example/nginx:1", "1"),
        ("registry.example/app@sha256:\(hex)", "registry.example/app@sha256:\(hex)", "sha256:\(hex)"),
        ("registry.example/app:v1@sha256:\(hex)", "registry.example/app:v1@sha256:\(hex)", "sha256:\(hex)"),
    ]) func `a reference is read and written`(text: String, written: String, manifest: String) throws {
        let reference = try RegistryReference(parsing: text)
        #expect(reference.description == written)
        #expect(reference.manifestName == manifest)
        #expect(try RegistryReference(parsing: written) == reference)
    }

    @Test(arguments: [
        "", "app", "/app", "registry.example/", "registry.example/App", "registry.example/a//b",
        "registry.example/a/../b", "registry.example/a:", "registry.example/a:b:c",
        "registry.example/a@md5:00",
        "registry.example/a@sha256:00", "user@registry.example/a", "registry.example:0/a",
        "registry.example:99999/a", "regi stry/a", "registry.example/a?x=1", "registry.example/a\r\nx:y",
        "[::1/a", "-x.example/a", "registry.example/" + String(repeating: "a", count: 256),
    ]) func `what is no reference is refused as a wrong request`(text: String) {
        let failure = #expect(throws: Failure.self) { try RegistryReference(parsing: text) }
        #expect(failure?.exitCode == 2)
        #expect(failure?.suggestion != nil)
    }

    /// docker.io itself is a website.
    @Test(arguments: [
        ("docker.io/library/nginx", "https://registry-1.docker.io"),
        ("registry.example/app", "https://registry.example"),
        ("localhost:5000/app", "http://localhost:5000"),
    ]) func `a registry is spoken to where it listens`(text: String, origin: String) throws {
        let reference = try RegistryReference(parsing: text)
        #expect(RegistrySettings().origin(of: reference.host).description == origin)
    }

    @Test(arguments: [
        ("localhost", true), ("a.localhost:80", true), ("127.0.0.1:5000", true), ("127.9.9.9", true),
        ("[::1]:5000", true), ("128.0.0.1", false), ("127.0.0.1.example", false),
        ("localhost.example", false),
        ("registry.example", false), ("127.0.0", false),
    ]) func `only this machine is a loopback`(text: String, isLoopback: Bool) throws {
        #expect(try RegistryHost(parsing: text).isLoopback == isLoopback)
    }

    @Test(arguments: [
        ("registry.example/app:v1", "registry"), ("docker://registry.example/app", "registry"),
        ("localhost/app", "registry"), ("host:5000/app", "registry"), ("hello", "store"),
        ("sha256:4f1c", "store"), ("store:registry.example/app:v1", "store"), ("team/app", "store"),
        ("oci:/a/b", "layout"), ("oci:b:v1", "layout"), ("oci-archive:a.tar", "ociArchive"),
        ("docker-archive:a.tar:registry.example/app:v1", "dockerArchive"),
    ]) func `a place says what it is`(text: String, kind: String) throws {
        let location = try ImageLocation(parsing: text)
        #expect(Mirror(reflecting: location).children.first?.label == kind)
        #expect(try ImageLocation(parsing: "\(location)") == location || kind == "store")
    }

    @Test(arguments: [
        "", "oci:", "oci:a:", "docker-archive:", "https://registry.example/app", "docker://app",
    ])
    func `what is no place is refused`(text: String) {
        #expect(throws: Failure.self) { try ImageLocation(parsing: text) }
    }
}
