// What docs/clients.md uses of React Native, whose own types come only with the whole of its tools.

declare module 'react-native' {
    export type AppStateStatus = 'active' | 'background' | 'inactive' | 'unknown' | 'extension';

    export const AppState: {
        addEventListener(type: 'change', listener: (state: AppStateStatus) => void): {remove(): void};
    };
}
