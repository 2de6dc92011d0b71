import Model
import Testing

@testable import SpecFile

@Suite struct SpecStarterTests {
    @Test(arguments: SpecStarter.allCases)
    func `a starter is sound, and brings every file that it names`(_ starter: SpecStarter) throws {
        let files = starter.files(for: try ServiceName("my-service"))
        #expect(files[0].path == "kiln.yaml")
        let spec = try SpecFile.parse(files[0].text, file: "kiln.yaml")
        #expect(spec.service.text == "my-service")
        for rule in spec.image.files {
            let from = try #require(rule.from)
            #expect(files.contains { $0.path == from || $0.path.hasPrefix(from) })
        }
    }

    @Test func `starters and examples bring the same files`() throws {
        #expect(try StarterFiles.nginx == Repository.text("examples/hello/nginx.conf"))
        #expect(try StarterFiles.redis == Repository.text("examples/redis/redis.conf"))
        #expect(try StarterFiles.application == Repository.text("examples/python/app.py"))
    }
}
