// Reads Debezium's JSON as Flink SQL does with 'format' = 'debezium-json': a line of input is the value of a record
// (nothing stands for a tombstone), a line of output a row of the changelog.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.functions.util.ListCollector;
import org.apache.flink.formats.common.TimestampFormat;
import org.apache.flink.formats.json.debezium.DebeziumJsonDecodingFormat;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalType;

public class Flink {
    public static void main(String[] arguments) throws Exception {
        var columns = DataTypes.ROW(
            DataTypes.FIELD(arguments[0], DataTypes.STRING()), DataTypes.FIELD(arguments[1], DataTypes.STRING()));
        var format = new DebeziumJsonDecodingFormat(false, false, TimestampFormat.ISO_8601);
        format.applyReadableMetadata(
            List.of("ingestion-timestamp", "source.timestamp", "source.database", "source.table"));
        var context = new DynamicTableSource.Context() {
            @SuppressWarnings("unchecked")
            public <T> TypeInformation<T> createTypeInformation(DataType type) {
                return (TypeInformation<T>) InternalTypeInfo.of(type.getLogicalType());
            }

            @SuppressWarnings("unchecked")
            public <T> TypeInformation<T> createTypeInformation(LogicalType type) {
                return (TypeInformation<T>) InternalTypeInfo.of(type);
            }

            public DynamicTableSource.DataStructureConverter createDataStructureConverter(DataType type) {
                throw new UnsupportedOperationException();
            }
        };
        var schema = format.createRuntimeDecoder(context, columns, new int[][] {{0}, {1}});
        schema.open(null);
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            var rows = new java.util.ArrayList<RowData>();
            schema.deserialize(line.isEmpty() ? null : line.getBytes(StandardCharsets.UTF_8), new ListCollector<>(rows));
            for (RowData row : rows) {
                System.out.println(String.join("\t",
                    row.getRowKind().shortString(), text(row, 0), text(row, 1),
                    row.isNullAt(2) ? "-" : row.getTimestamp(2, 3).toString(),
                    row.isNullAt(3) ? "-" : row.getTimestamp(3, 3).toString(),
                    text(row, 4), text(row, 5)));
            }
        }
    }

    private static String text(RowData row, int column) {
        return row.isNullAt(column) ? "-" : row.getString(column).toString();
    }
}
