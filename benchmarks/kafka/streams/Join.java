import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The neutral join on Kafka Streams: SERVERS FROM TO COUNT GUARANTEE STORE THREADS WARM.
 *
 * <p>Before the run that counts, WARM runs warm the virtual machine up: the same records, into TO-warm. It is done when
 * the group's offsets are committed to the end, which under exactly once is the end of the last transaction.
 */
public final class Join {
  private static final String[] FIELDS = {"name", "email", "phone", "city"};
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final ObjectReader CHANGE = JSON.readerFor(Change.class);
  private static final ObjectReader ROW = JSON.readerFor(Row.class);
  private static final ObjectWriter WRITER = JSON.writer();
  private static final OperatingSystemMXBean PROCESS =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private static final AtomicLong began = new AtomicLong();
  private static final AtomicLong used = new AtomicLong();
  private static final AtomicLong done = new AtomicLong();

  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class Change {
    public String ref;
    public long seen;
    public Map<String, String> fields;
  }

  public static final class Row {
    public long count;
    public Map<String, String> values = new LinkedHashMap<>();
    public Map<String, Long> seen = new LinkedHashMap<>();
  }

  private static final class Merge implements Processor<byte[], byte[], byte[], byte[]> {
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> links;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
      this.context = context;
      this.links = context.getStateStore("links");
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      if (began.get() == 0 && began.compareAndSet(0, System.nanoTime())) {
        used.set(PROCESS.getProcessCpuTime());
      }
      try {
        Change change = CHANGE.readValue(record.value());
        byte[] stored = links.get(record.key());
        Row row = stored == null ? new Row() : ROW.readValue(stored);
        for (String name : FIELDS) {
          String value = change.fields.get(name);
          if (value != null && change.seen > row.seen.getOrDefault(name, 0L)) {
            row.values.put(name, value);
            row.seen.put(name, change.seen);
          }
        }
        row.count++;
        links.put(record.key(), WRITER.writeValueAsBytes(row));
        context.forward(record.withValue(WRITER.writeValueAsBytes(row.values)));
      } catch (java.io.IOException error) {
        throw new java.io.UncheckedIOException(error);
      }
      done.incrementAndGet();
    }
  }

  public static void main(String[] told) throws Exception {
    long count = Long.parseLong(told[3]);
    int warm = Integer.parseInt(told[7]);
    for (int pass = 0; pass <= warm; pass++) {
      boolean counts = pass == warm;
      began.set(0);
      done.set(0);
      String id = told[2] + "-streams" + (counts ? "" : "-warm" + pass);
      run(id, told[0], told[1], counts ? told[2] : told[2] + "-warm", count, told[4], told[5], told[6], counts);
    }
  }

  private static void run(String id, String servers, String from, String to, long count, String guarantee,
      String store, String threads, boolean counts) throws Exception {
    Path folder = Files.createTempDirectory("streams");
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, id);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
    settings.put(StreamsConfig.STATE_DIR_CONFIG, folder.toString());
    settings.put(StreamsConfig.producerPrefix("compression.type"), "zstd");
    settings.put("auto.offset.reset", "earliest");
    StreamsBuilder builder = new StreamsBuilder();
    KeyValueBytesStoreSupplier supplier =
        store.equals("memory") ? Stores.inMemoryKeyValueStore("links") : Stores.persistentKeyValueStore("links");
    builder.addStateStore(Stores.keyValueStoreBuilder(supplier, Serdes.ByteArray(), Serdes.ByteArray()));
    builder.stream(from, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .process(Merge::new, "links")
        .to(to, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
    try (KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        Admin admin = Admin.create(settings)) {
      streams.start();
      while (done.get() < count || committed(admin, id) < count) {
        Thread.sleep(done.get() < count ? 10 : 2);
      }
      if (counts) {
        double seconds = (System.nanoTime() - began.get()) / 1e9;
        double cpu = (PROCESS.getProcessCpuTime() - used.get()) / 1e3;
        System.out.printf("{\"per_second\": %.1f, \"cpu_us\": %.2f, \"rss_mib\": %.1f}%n",
            count / seconds, cpu / count, peak());
      }
      streams.close(Duration.ofSeconds(20));
    }
    try (Stream<Path> files = Files.walk(folder)) {
      files.sorted(java.util.Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
    }
  }

  private static long committed(Admin admin, String group) throws Exception {
    return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values().stream()
        .mapToLong(offset -> offset == null ? 0 : offset.offset()).sum();
  }

  private static double peak() throws java.io.IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
      String line = lines.filter(each -> each.startsWith("VmHWM:")).findFirst().orElseThrow();
      return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
    }
  }
}
